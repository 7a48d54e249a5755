//! Numbers within bounds.

use serde_json::{Map, Value, json};

struct Bounds {
    low: Option<f64>,
    high: Option<f64>,
    /// Whether the bound itself is outside.
    open: (bool, bool),
}

impl Bounds {
    fn of(fields: &Map<String, Value>) -> Self {
        let number = |name: &str| fields.get(name).and_then(Value::as_f64);
        // Older drafts write the exclusive bound as a flag beside the inclusive one.
        let flag = |name: &str| fields.get(name) == Some(&Value::Bool(true));
        let (least, most) = (number("minimum"), number("maximum"));
        let (above, below) = (number("exclusiveMinimum"), number("exclusiveMaximum"));
        let open_low =
            flag("exclusiveMinimum") || above.is_some_and(|above| least.is_none_or(|l| above >= l));
        let open_high =
            flag("exclusiveMaximum") || below.is_some_and(|below| most.is_none_or(|m| below <= m));
        Self {
            low: if above.is_some() && open_low { above } else { least },
            high: if below.is_some() && open_high { below } else { most },
            open: (open_low, open_high),
        }
    }

    fn has(&self, number: f64) -> bool {
        let low = self.low.is_none_or(|low| number > low || (number == low && !self.open.0));
        let high = self.high.is_none_or(|high| number < high || (number == high && !self.open.1));
        low && high
    }
}

/// The `nth` whole number of a schema.
#[expect(clippy::cast_possible_truncation, reason = "a bound beyond 64 bits is filled as near as it goes")]
pub(super) fn integer(fields: &Map<String, Value>, nth: usize) -> Option<Value> {
    let step = fields.get("multipleOf").and_then(Value::as_f64).filter(|step| *step > 0.0).unwrap_or(1.0);
    // Multiples of a broken step that are whole: the step as often as makes it whole.
    let step = (1..=1000).map(|times| step * f64::from(times)).find(|step| step.fract() == 0.0)?;
    let number = on_grid(&Bounds::of(fields), step, 1.0, nth)?;
    Some(json!(number as i64))
}

/// The `nth` number of a schema.
pub(super) fn number(fields: &Map<String, Value>, nth: usize) -> Option<Value> {
    let bounds = Bounds::of(fields);
    if let Some(step) = fields.get("multipleOf").and_then(Value::as_f64).filter(|step| *step > 0.0) {
        return on_grid(&bounds, step, 1.5, nth).map(|number| json!(number));
    }
    #[expect(clippy::cast_precision_loss, reason = "few values are asked for")]
    let nth = nth as f64;
    let middle = match (bounds.low, bounds.high) {
        (Some(low), Some(high)) if !bounds.has(1.5 + nth) => low + (high - low) / (nth + 2.0),
        (Some(low), None) if !bounds.has(1.5 + nth) => low + nth + f64::from(u8::from(bounds.open.0)),
        (None, Some(high)) if !bounds.has(1.5 + nth) => high - nth - 1.0,
        _ => 1.5 + nth,
    };
    // Both bounds may be the same number.
    let number =
        bounds.low.filter(|low| nth == 0.0 && bounds.has(*low) && !bounds.has(1.5)).unwrap_or(middle);
    bounds.has(number).then(|| json!(number))
}

/// The `nth` multiple of `step` within the bounds, near `wish` if that is allowed.
fn on_grid(bounds: &Bounds, step: f64, wish: f64, nth: usize) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "few values are asked for")]
    let nth = nth as f64;
    let wished = (wish / step).ceil();
    let first = match (bounds.low, bounds.high) {
        _ if bounds.has(wished * step) && bounds.has((wished + nth) * step) => wished,
        (Some(low), _) => {
            let first = (low / step).ceil();
            if bounds.has(first * step) { first } else { first + 1.0 }
        }
        (None, Some(high)) => {
            let last = (high / step).floor();
            (if bounds.has(last * step) { last } else { last - 1.0 }) - nth
        }
        (None, None) => wished,
    };
    let number = (first + nth) * step;
    bounds.has(number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_within_their_bounds() {
        for (schema, whole, broken) in [
            (json!({}), Some(1), Some(1.5)),
            (json!({"minimum": 3}), Some(3), Some(3.0)),
            (json!({"exclusiveMinimum": 3}), Some(4), Some(4.0)),
            (json!({"minimum": 3, "exclusiveMinimum": true}), Some(4), Some(4.0)),
            (json!({"maximum": -2}), Some(-2), Some(-3.0)),
            (json!({"exclusiveMaximum": 0}), Some(-1), Some(-1.0)),
            (json!({"minimum": 5, "maximum": 5}), Some(5), Some(5.0)),
            (json!({"exclusiveMinimum": 0, "exclusiveMaximum": 1}), None, Some(0.5)),
            (json!({"minimum": 10, "multipleOf": 7}), Some(14), Some(14.0)),
            (json!({"exclusiveMinimum": 14, "multipleOf": 7}), Some(21), Some(21.0)),
            (json!({"maximum": 0, "multipleOf": 5}), Some(0), Some(0.0)),
            (json!({"multipleOf": 0.5}), Some(1), Some(1.5)),
            (json!({"minimum": 2, "maximum": 1}), None, None),
        ] {
            let fields = schema.as_object().unwrap();
            assert_eq!(integer(fields, 0).and_then(|n| n.as_i64()), whole, "{schema}");
            assert_eq!(number(fields, 0).and_then(|n| n.as_f64()), broken, "{schema}");
        }
    }

    #[test]
    fn several_numbers_differ() {
        let schema = json!({"minimum": 2, "maximum": 4});
        let fields = schema.as_object().unwrap();
        let whole: Vec<_> = (0..3).map(|nth| integer(fields, nth).unwrap()).collect();
        assert_eq!(whole, [2, 3, 4]);
        assert_ne!(number(fields, 0), number(fields, 1));
    }
}
