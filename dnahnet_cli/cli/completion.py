"""`dnahnet completion`: what a shell needs to complete commands, options and their choices.

The scripts are made from the commands as they are, and name everything themselves: completing starts no Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer


@dataclass(frozen=True)
class _Option:
    names: tuple[str, ...]
    help: str
    choices: tuple[str, ...]
    takes_value: bool


def completion(
    context: typer.Context,
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="For which shell.", show_default=False)],
) -> None:
    """Print the completion script of a shell: commands, options and their choices; file names otherwise.

    Examples:

      dnahnet completion bash > ~/.local/share/bash-completion/completions/dnahnet

      dnahnet completion zsh >> ~/.zshrc

      dnahnet completion fish > ~/.config/fish/completions/dnahnet.fish
    """
    commands = dict(_commands(context.find_root().command))
    print(_fish(commands) if shell == "fish" else _bash(commands, zsh=shell == "zsh"), end="")


def _commands(command: Any, path: str = "") -> Iterator[tuple[str, tuple[list[str], list[_Option]]]]:
    """Yield each command by its words, with the names of its own commands and its options."""
    members = getattr(command, "commands", {})
    types = get_type_hints(command.callback) if command.callback is not None else {}
    options = [
        _Option(
            tuple(parameter.opts + parameter.secondary_opts),
            (parameter.help or "").split(". ")[0].rstrip("."),
            tuple(_choices(types.get(parameter.name))),
            not parameter.is_flag,
        )
        for parameter in command.params
        if parameter.param_type_name == "option"
    ]
    options.append(_Option(("-h", "--help"), "Show this message and exit", (), False))
    yield path, (list(members), options)
    for name, member in members.items():
        yield from _commands(member, f"{path} {name}".strip())


def _choices(annotation: Any) -> Iterator[str]:
    """Yield the values of a Literal, also within a union."""
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
    else:
        for part in get_args(annotation):
            yield from _choices(part)


_BASH = """\
# dnahnet: completion for bash
_dnahnet() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" command="" word words=""
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$command/$word" in
{steps}
        esac
    done
    case "$command/$previous" in
{choices}
    esac
    case "$command" in
{words}
    esac
    [[ -n $words && ( $current == -* || $words != -* ) ]] && COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _dnahnet dnahnet
"""


def _bash(commands: Mapping[str, tuple[list[str], list[_Option]]], *, zsh: bool) -> str:
    steps, choices, words = [], [], []
    for path, (members, options) in commands.items():
        steps += [f'            "{path}/{name}") command="{f"{path} {name}".strip()}" ;;' for name in members]
        for option in options:
            if option.choices:
                places = "|".join(f'"{path}/{name}"' for name in option.names)
                choices.append(
                    f'        {places}) COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$current")); return ;;'
                )
        names = members + [name for option in options for name in option.names]
        words.append(f'        "{path}") words="{" ".join(names)}" ;;')
    script = _BASH.format(steps="\n".join(steps), choices="\n".join(choices), words="\n".join(words))
    return f"autoload -U +X bashcompinit && bashcompinit\n{script}" if zsh else script


def _fish(commands: Mapping[str, tuple[list[str], list[_Option]]]) -> str:
    lines = ["# dnahnet: completion for fish"]
    groups = [path for path, (members, _) in commands.items() if path and members]
    for path, (members, options) in commands.items():
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in path.split())
        if seen and " " not in path:  # `fitness` is a command, and also a member of `evaluate`
            seen += f"; and not __fish_seen_subcommand_from {' '.join(g for g in groups if g != path)}"
        if members:
            without = f"not __fish_seen_subcommand_from {' '.join(members)}"
            here = f"{seen}; and {without}" if seen else without
            lines += [f"complete -c dnahnet -n '{here}' -f -a {name}" for name in members]
        for option in options:
            line = f"complete -c dnahnet -n '{seen or 'not __fish_seen_subcommand_from ' + ' '.join(members)}'"
            for name in option.names:
                line += f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}"
            line += (
                " -x -a '" + " ".join(option.choices) + "'" if option.choices else " -r" if option.takes_value else ""
            )
            text = option.help.replace("\\", "").replace("'", "")
            lines.append(f"{line} -d '{text}'")
    return "\n".join(lines) + "\n"
