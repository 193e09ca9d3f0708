//! The command line.

/// What the benchmark was asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Args {
    /// Numbers of threads; each workload has its own when there are none.
    pub(crate) threads: Option<Vec<usize>>,
    /// Words of which a workload's name must contain one.
    pub(crate) only: Vec<String>,
    pub(crate) rounds: usize,
    /// The gas that each workload uses in a round, in millions.
    pub(crate) mgas: u64,
    /// What all random choices follow from.
    pub(crate) seed: u64,
    /// Prints the names and does nothing.
    pub(crate) list: bool,
}

const USAGE: &str =
    "executor [--only WORD,WORD] [--threads 1,2,4] [--rounds N] [--mgas N] [--seed N] [--list]";

impl Args {
    /// Reads the command line. What is wrong with it ends the process.
    pub(crate) fn parse() -> Self {
        Self::read(std::env::args().skip(1)).unwrap_or_else(|problem| {
            eprintln!("{problem}\n{USAGE}");
            std::process::exit(2);
        })
    }

    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args =
            Self { threads: None, only: Vec::new(), rounds: 11, mgas: 500, seed: 1, list: false };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--only" => args.only = value()?.split(',').map(str::to_owned).collect(),
                "--threads" => {
                    args.threads = Some(value()?.split(',').map(number).collect::<Result<_, _>>()?);
                }
                "--rounds" => args.rounds = number(&value()?)?,
                "--mgas" => args.mgas = number(&value()?)?,
                "--seed" => args.seed = number(&value()?)?,
                "--list" => args.list = true,
                // What cargo says to every benchmark.
                "--bench" => {}
                _ => return Err(format!("unknown: {word}")),
            }
        }
        if args.rounds == 0 || args.threads.as_ref().is_some_and(|threads| threads.contains(&0)) {
            return Err("rounds and threads are counted from one".to_owned());
        }
        Ok(args)
    }

    /// Whether this workload is to be measured.
    pub(crate) fn wants(&self, workload: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| workload.contains(word.as_str()))
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("not a number: {word}"))
}
