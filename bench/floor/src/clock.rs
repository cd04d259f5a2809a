//! What a piece of work costs.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// Seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// That this thread was computing, in the kernel or outside.
    pub(crate) cpu: f64,
    /// That went by.
    pub(crate) wall: f64,
}

impl Cost {
    /// Adds another.
    pub(crate) fn add(&mut self, other: Cost) {
        self.cpu += other.cpu;
        self.wall += other.wall;
    }
}

/// Does the work, and says what it cost.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (cpu, wall) = (thread_seconds(), Instant::now());
    let result = work();
    (result, Cost { cpu: thread_seconds() - cpu, wall: wall.elapsed().as_secs_f64() })
}

fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
