//! What a sync costs on this disk, by itself: 4 KiB appended to a file of its own, and `fdatasync`.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

const PAGE: [u8; 4096] = [0xA5; 4096];

/// How long each of so many syncs took, in milliseconds, with a pause before each.
pub(crate) fn syncs(directory: &Path, many: usize, pause: Duration) -> Vec<f64> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(directory.join("syncs")).expect("a file");
    let one = |_| {
        std::thread::sleep(pause);
        let begun = Instant::now();
        file.write_all(&PAGE).expect("it is written");
        file.sync_data().expect("it is synced");
        begun.elapsed().as_secs_f64() * 1000.0
    };
    (0..many).map(one).collect()
}

/// The middle one and the 99th percentile.
pub(crate) fn percentiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}
