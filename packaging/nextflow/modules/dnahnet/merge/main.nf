process DNAHNET_MERGE {
    tag "$meta.id"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container "${ task.ext.container ?: 'dnahnet:0.1.0' }"

    input:
    tuple val(meta), path(shards, arity: '1..*')

    output:
    tuple val(meta), path("${prefix}.${suffix}")           , emit: scores
    tuple val(meta), path("${prefix}.${suffix}.{tbi,csi}") , emit: index, optional: true
    tuple val("${task.process}"), val('dnahnet'), eval("dnahnet --version | sed 's/^dnahnet //'"), topic: versions, emit: versions_dnahnet

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    suffix = task.ext.suffix ?: 'vcf.gz'
    if (shards.any { shard -> shard.name == "${prefix}.${suffix}" }) error "Input and output have the same name: set task.ext.prefix"
    """
    dnahnet merge \\
        ${shards} \\
        --output ${prefix}.${suffix} \\
        --tmpdir . \\
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
    """
}
