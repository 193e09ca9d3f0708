//! From rounds to a line that a script can read.

use std::time::Duration;

use crate::measure::Round;

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
