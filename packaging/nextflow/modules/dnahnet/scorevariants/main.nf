process DNAHNET_SCOREVARIANTS {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "${ task.ext.container ?: 'dnahnet:0.1.0' }"

    input:
    tuple val(meta), path(variants)
    tuple val(meta2), path(genome)
    tuple val(meta3), path(annotation)

    output:
    tuple val(meta), path("${prefix}.${suffix}")                , emit: scores
    tuple val(meta), path("${prefix}.${suffix}.{tbi,csi}")      , emit: index, optional: true
    tuple val(meta), path("${prefix}.summary.json")             , emit: summary
    tuple val("${task.process}"), val('dnahnet'), eval("dnahnet --version | sed 's/^dnahnet //'"), topic: versions, emit: versions_dnahnet

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    suffix = task.ext.suffix ?: 'vcf.gz'
    def genes = annotation ? "--genes ${annotation}" : ''
    if ("$variants" == "${prefix}.${suffix}") error "Input and output have the same name: set task.ext.prefix"
    """
    dnahnet score-variants \\
        ${genome} \\
        ${variants} \\
        ${genes} \\
        --output ${prefix}.${suffix} \\
        --json-summary ${prefix}.summary.json \\
        --threads ${task.cpus} \\
        --tmpdir . \\
        --no-progress \\
        ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    suffix = task.ext.suffix ?: 'vcf.gz'
    def create = suffix.endsWith('.gz') ? "echo '' | gzip >" : 'touch'
    def index = suffix == 'vcf.gz' ? "touch ${prefix}.${suffix}.tbi" : ''
    """
    ${create} ${prefix}.${suffix}
    ${index}
    echo '{}' > ${prefix}.summary.json
    """
}
