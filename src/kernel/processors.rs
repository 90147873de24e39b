//! How many processors there are for this thread.

/// So many processors the calling thread may run on; 1 when the kernel has more than a set of the C
/// library holds. One call, where asking the standard library reads the control group's files too.
pub(crate) fn available() -> usize {
    // SAFETY: a set is an array of integers, of which all zeros is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is as large as said, and is written to alone.
    let failed = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) } != 0;
    if failed {
        return 1;
    }
    // SAFETY: the set was filled in.
    usize::try_from(unsafe { libc::CPU_COUNT(&set) }).map_or(1, |n| n.max(1))
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_many_are_counted_as_the_kernel_lists_for_this_thread() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed:"))
            .unwrap();
        let listed: u32 = mask
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .map(u32::count_ones)
            .sum();
        assert_eq!(super::available(), listed as usize);
    }
}
