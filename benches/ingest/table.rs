//! What is printed: one line a row of the table, with its comparisons of the same run and whether the target is reached.

/// What is asked of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

/// One comparison of a row.
pub(crate) struct Compared {
    /// What it is compared with: `of bare`, `of raw`.
    pub(crate) with: &'static str,
    /// The figure.
    pub(crate) figure: f64,
    /// What it should be, first what is to be reached, then the stretch.
    pub(crate) targets: &'static [Target],
}

impl Target {
    fn is_reached(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }

    fn told(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}"),
            Self::AtMost(most) => format!("<= {most}"),
        }
    }
}

/// Prints the head of the table.
pub(crate) fn head() {
    println!(
        "{:<34} {:<9} {:>5} {:>14}  {:<12} {:>8}  {:<9} {:<8} stretch",
        "what", "database", "conns", "rate", "compared", "figure", "target", "reached"
    );
}

/// Prints a figure that is only there to be compared with, or that has no target.
pub(crate) fn plain(what: &str, database: &str, connections: u64, rate: &str) {
    println!("{what:<34} {database:<9} {:>5} {rate:>14}", count(connections));
}

/// Prints a row: its figure in the first line, and a line for each further comparison.
pub(crate) fn row(what: &str, database: &str, connections: u64, rate: &str, compared: &[Compared]) {
    if compared.is_empty() {
        plain(what, database, connections, rate);
    }
    for one in compared {
        let words = |target: Option<&Target>| match target {
            Some(target) => (target.told(), if target.is_reached(one.figure) { "yes" } else { "no" }),
            None => (String::new(), ""),
        };
        let ((target, reached), (stretch, stretched)) = (words(one.targets.first()), words(one.targets.get(1)));
        println!(
            "{what:<34} {database:<9} {:>5} {rate:>14}  {:<12} {:>8.3}  {target:<9} {reached:<8} {stretch} {stretched}",
            count(connections),
            one.with,
            one.figure,
        );
    }
}

/// A rate as it is printed.
pub(crate) fn per_second(rate: f64) -> String {
    format!("{rate:.0}/s")
}

fn count(connections: u64) -> String {
    if connections == 0 { String::new() } else { connections.to_string() }
}

/// The middle one of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
