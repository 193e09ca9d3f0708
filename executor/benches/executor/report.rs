//! From rounds to a line that a script can read.

use std::time::Duration;

use crate::{
    measure::Round,
    simulate::{Figures, Stages},
};

/// The lower of the middle ones, the lowest and the highest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self {
            median: values[(values.len() - 1) / 2],
            min: values[0],
            max: values[values.len() - 1],
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) workload: &'a str,
    pub(crate) threads: usize,
    pub(crate) transactions: usize,
    pub(crate) blocks: usize,
    pub(crate) rounds: &'a [Round],
}

/// Prints a row, with more keys and values at its end.
pub(crate) fn print(row: Row<'_>, more: &str) {
    let Row { workload, threads, transactions, blocks, rounds } = row;
    let per_tx = |time: Duration| time.as_secs_f64() * 1e6 / transactions as f64;
    let spread =
        |of: fn(&Round) -> Duration| Spread::of(rounds.iter().map(|round| per_tx(of(round))));
    let seq = spread(|round| round.plain);
    let par = spread(|round| round.ours.total());
    let run = spread(|round| round.ours.run);
    let open_finish = spread(|round| round.ours.open_finish);
    // The system counts in steps of milliseconds, so that only the sum over all rounds means something.
    let cpu =
        |of: fn(&Round) -> Duration| per_tx(rounds.iter().map(of).sum()) / rounds.len() as f64;
    let ratios = Spread::of(
        rounds.iter().map(|round| round.plain.as_secs_f64() / round.ours.total().as_secs_f64()),
    );
    println!(
        "RESULT name=executor workload={workload} threads={threads} seq_us_per_tx={:.3} par_us_per_tx={:.3} \
         ratio={:.3} seq_min={:.3} seq_max={:.3} par_min={:.3} par_max={:.3} ratio_min={:.3} ratio_max={:.3} ratio_of_mins={:.3} \
         run_us_per_tx={:.3} open_finish_us_per_tx={:.3} seq_cpu_us_per_tx={:.3} par_cpu_us_per_tx={:.3} \
         transactions={transactions} blocks={blocks} rounds={}{more}",
        seq.median,
        par.median,
        seq.median / par.median,
        seq.min,
        seq.max,
        par.min,
        par.max,
        ratios.min,
        ratios.max,
        seq.min / par.min,
        run.median,
        open_finish.median,
        cpu(|round| round.plain_cpu),
        cpu(|round| round.ours_cpu),
        rounds.len(),
    );
}

/// Prints what the simulation says about so many threads.
pub(crate) fn print_simulated(
    workload: &str,
    threads: usize,
    transactions: usize,
    figures: &Figures,
    simulated: f64,
) {
    let per_tx = |time: f64| time / transactions as f64;
    // Only here is there something to compare with.
    let check = if threads == 2 {
        let deviation = 100.0 * (simulated / figures.two - 1.0);
        format!(" real_ratio={:.3} deviation_percent={deviation:.1}", figures.plain / figures.two)
    } else {
        String::new()
    };
    println!(
        "RESULT name=executor workload={workload} threads={threads} seq_us_per_tx={:.3} par_us_per_tx={:.3} \
         ratio={:.3} simulated=true{check}",
        per_tx(figures.plain),
        per_tx(simulated),
        figures.plain / simulated,
    );
}

/// The medians of both sides' rounds, in microseconds: the baseline's, and ours.
pub(crate) fn medians(rounds: &[Round]) -> (f64, f64) {
    let median = |of: fn(&Round) -> Duration| {
        Spread::of(rounds.iter().map(|round| of(round).as_secs_f64() * 1e6)).median
    };
    (median(|round| round.plain), median(|round| round.ours.total()))
}

/// What the executor says about itself, as more keys of a row.
pub(crate) fn stages(stages: &Stages, transactions: usize, cold_read: Option<Duration>) -> String {
    let per_tx = |time: f64| time / transactions as f64;
    let mut keys = format!(
        " in_lanes_per_tx={:.3} again_per_tx={:.4} planning_us_per_tx={:.3} running_us_per_tx={:.3} \
         joining_us_per_tx={:.3} busy_us_per_tx={:.3}",
        per_tx(stages.attempts),
        per_tx(stages.again),
        per_tx(stages.planning),
        per_tx(stages.running),
        per_tx(stages.joining),
        per_tx(stages.busy),
    );
    if let Some(cold_read) = cold_read {
        keys += &format!(" cold_read_us={:.1}", cold_read.as_secs_f64() * 1e6);
    }
    keys
}
