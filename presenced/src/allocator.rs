//! The allocator of the process: jemalloc, because the system's keeps the memory of connections that have ended. Its settings
//! are a string that it reads at its first allocation, before `main`.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Pages that nothing is in go back to the system half a second later, by a thread of its own: without that they go when
/// something else is allocated, which after a wave of connections may be never.
const SETTINGS: &[u8] = b"background_thread:true,max_background_threads:1,dirty_decay_ms:500,muzzy_decay_ms:0\0";

#[expect(unsafe_code, reason = "jemalloc looks for its settings under this name alone")]
// SAFETY: nothing else has this name, under which jemalloc reads a pointer to a string that ends with a zero byte.
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS_POINTER: &u8 = &SETTINGS[0];

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use crate::clock::Stopwatch;

    #[test]
    fn the_settings_start_a_thread_that_gives_memory_back() {
        let has_purging_thread = || {
            let tasks = std::fs::read_dir("/proc/self/task").expect("threads");
            // A thread may end while its name is read.
            let mut names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
            names.any(|name| name.trim_end() == "jemalloc_bg_thd")
        };
        let waiting = Stopwatch::start();
        while !has_purging_thread() {
            assert!(waiting.elapsed() < Duration::from_secs(20), "the settings are not read");
            std::thread::yield_now();
        }
    }
}
