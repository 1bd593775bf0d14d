#!/usr/bin/env nextflow
// Score the variants of samples in shards, each shard a task, and join them: one output for each file of variants.
//
//     nextflow run packaging/nextflow --genome genome.fa --variants 'calls/*.vcf.gz' --shards 8

include { DNAHNET_SCOREVARIANTS } from './modules/dnahnet/scorevariants/main'
include { DNAHNET_MERGE         } from './modules/dnahnet/merge/main'

workflow {
    if (!params.genome || !params.variants) {
        error "Give --genome and --variants, which may be a pattern in quotes"
    }
    genome = channel.value([ [ id: 'genome' ], file(params.genome, checkIfExists: true) ])
    genes = channel.value([ [ id: 'genome' ], params.genes ? file(params.genes, checkIfExists: true) : [] ])
    shards = channel
        .fromPath(params.variants, checkIfExists: true)
        .map { variants -> [ [ id: variants.simpleName ], variants ] }
        .combine(channel.of(1..params.shards))
        .map { meta, variants, number -> [ meta + [ shard: number ], variants ] }

    DNAHNET_SCOREVARIANTS(shards, genome, genes)
    DNAHNET_MERGE(
        DNAHNET_SCOREVARIANTS.out.scores
            .map { meta, scores -> [ [ id: meta.id ], scores ] }
            .groupTuple(size: params.shards)
    )
}
