/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_cases - what a ring costs besides throughput, each printed as a few
 * lines: how late a record is seen by a reader that sleeps or is awake, what
 * a stalled lane does to its neighbour, and what growing costs.
 */

#ifndef WEIR_BENCH_RING_CASES_H
#define WEIR_BENCH_RING_CASES_H

/* One way, p50 and p99, over `samples` records; bells for each sleep. */
void ring_case_latency(unsigned samples);

/* Lane B with lane A idle and with lane A full, best and median of `runs`. */
void ring_case_stalled(unsigned runs);

/* A burst from 256 KiB to 16 MiB beside one into 16 MiB, of `runs`. */
void ring_case_growth(unsigned runs);

#endif
