//! Huge pages, where the system offers them: large memory is looked up in fewer steps, and is had in fewer.

/// Asks for huge pages under memory that was just allocated and not yet touched. Where there are none, nothing changes.
pub fn prefer_huge_pages<T>(memory: &mut [T]) {
    #[cfg(target_os = "linux")]
    {
        /// Beginnings of ranges have to be whole pages; these are no smaller than any.
        const PAGE: usize = 64 * 1024;
        let bytes = size_of_val(memory);
        let start: *mut u8 = memory.as_mut_ptr().cast();
        let skipped = start.align_offset(PAGE);
        if bytes > skipped + PAGE && !cfg!(miri) {
            // SAFETY: the range is within memory that is borrowed for writing; the advice changes no contents.
            unsafe { libc::madvise(start.add(skipped).cast(), bytes - skipped, libc::MADV_HUGEPAGE) };
        }
    }
}
