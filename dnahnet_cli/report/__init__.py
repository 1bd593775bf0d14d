"""One page to look at: a run's results in a genome browser and in tables, as a single HTML file that needs no network.

`build.build` reads what the commands wrote, `page.render` turns it into HTML. template.html, page.css and page.js are
the page itself; igv.min.js is igv.js, as published (see THIRD_PARTY.md).
"""
