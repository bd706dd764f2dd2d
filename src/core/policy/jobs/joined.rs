//! Lists that share a part, put together at compile time.

/// The elements of all parts in their order. `N` is how many there are; a wrong one does not compile.
pub(super) const fn joined<T: Copy, const N: usize>(parts: &[&[T]]) -> [T; N] {
    let mut all = [parts[0][0]; N];
    let (mut count, mut part) = (0, 0);
    while part < parts.len() {
        let mut at = 0;
        while at < parts[part].len() {
            all[count] = parts[part][at];
            (count, at) = (count + 1, at + 1);
        }
        part += 1;
    }
    assert!(count == N, "N is too large");
    all
}
