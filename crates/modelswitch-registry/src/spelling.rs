//! The nearest right spelling of a name.

use crate::mistake::looks_like_a_key;

/// The candidate that a misspelt name most likely means: letters in another case, swapped, missing or doubled.
/// `None` when nothing is near enough to be worth suggesting.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    near(name, candidates.iter().copied()).first().and_then(|position| candidates.get(*position).copied())
}

/// The positions of all candidates that a misspelt name may mean, the nearest first.
pub(crate) fn near<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let wanted = name.to_lowercase();
    // A third of the letters may be wrong: `fsat` is `fast`, but `slow` isn't.
    let limit = (wanted.chars().count() / 3).max(1);
    let mut found: Vec<(usize, usize)> = candidates
        .into_iter()
        .enumerate()
        .filter(|(_, candidate)| !looks_like_a_key(candidate))
        .map(|(position, candidate)| (strsim::osa_distance(&wanted, &candidate.to_lowercase()), position))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, position)| position).collect()
}

/// `; did you mean `x`?`, or nothing.
pub(crate) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// The name that was meant, or all there are: nobody looks for it in a list once it is found.
pub(crate) fn meant_or_list<S: AsRef<str>>(nearest: Option<&str>, names: &[S]) -> String {
    match nearest {
        Some(_) => did_you_mean(nearest),
        None => format!("; there are: {}", list(names)),
    }
}

/// Names in a row, the first dozen of them: an error is to be read.
pub(crate) fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    const MOST: usize = 12;
    let names: Vec<S> = names.into_iter().collect();
    if names.is_empty() {
        return "none".to_owned();
    }
    // A name that is a key has a mistake of its own.
    let shown = |name: &'_ S| {
        if looks_like_a_key(name.as_ref()) { "…".to_owned() } else { name.as_ref().to_owned() }
    };
    let shown: Vec<String> = names.iter().take(MOST).map(shown).collect();
    match names.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_missing_and_capital_letters_are_seen_through_but_not_other_words() {
        let names = ["fast", "smart", "deepseek/deepseek-flash"];
        assert_eq!(nearest("fsat", names), Some("fast"));
        assert_eq!(nearest("SMART", names), Some("smart"));
        assert_eq!(nearest("deepseek/deepsek-flash", names), Some("deepseek/deepseek-flash"));
        assert_eq!(nearest("slow", names), None);
    }

    #[test]
    fn a_long_list_says_how_many_are_left_out() {
        assert_eq!(list((0..14).map(|n| n.to_string())), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more");
        assert_eq!(list(Vec::<String>::new()), "none");
    }
}
