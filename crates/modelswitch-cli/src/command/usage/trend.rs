//! Numbers in a row as bars of one letter each.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const NOTHING: char = '·';
const UNKNOWN: char = '?';

/// A bar for each number, the largest the highest one; however small, what is there has a bar. `None` is a number that
/// nobody knows.
pub(super) fn bars(numbers: &[Option<Decimal>]) -> String {
    let most = numbers.iter().flatten().max().copied().unwrap_or_default();
    numbers.iter().map(|number| number.map_or(UNKNOWN, |number| bar(number, most))).collect()
}

fn bar(number: Decimal, most: Decimal) -> char {
    if number <= Decimal::ZERO {
        return NOTHING;
    }
    // Divided first: the product may be more than a decimal holds.
    let eighths = number.checked_div(most).unwrap_or_default() * Decimal::from(BARS.len());
    let position = eighths.ceil().to_usize().unwrap_or(BARS.len()).clamp(1, BARS.len());
    BARS.get(position - 1).copied().unwrap_or(NOTHING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_highest_the_smallest_is_seen_and_what_is_unknown_is_no_zero() {
        let numbers = [Some(8), Some(1), Some(4), Some(0), None];
        assert_eq!(bars(&numbers.map(|number| number.map(Decimal::from))), "█▁▄·?");
        assert_eq!(bars(&[Some(Decimal::MAX), Some(Decimal::new(1, 28))]), "█▁");
        assert_eq!((bars(&[None, None]).as_str(), bars(&[]).as_str()), ("??", ""));
    }
}
