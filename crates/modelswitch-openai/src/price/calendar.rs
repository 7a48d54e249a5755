//! Public holidays, on which some services bill no peak.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::moment::{Moment, SECONDS_A_DAY};

const SECONDS_AN_HOUR: i64 = 60 * 60;

/// Holidays by year, in the time of the country that keeps them.
///
/// `china` comes with this crate: the days of the State Council's notices. Years that it doesn't know can be told with
/// [`Billing::holidays`](crate::Billing::holidays).
///
/// ```
/// use modelswitch_openai::Calendar;
///
/// let china = Calendar::embedded("china").ok_or("there is one")?;
/// assert_eq!(china.years().collect::<Vec<_>>(), [2026]);
/// assert!(Calendar::embedded("atlantis").is_none());
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    name: String,
    source: String,
    utc_offset: i8,
    years: BTreeSet<i64>,
    days: BTreeSet<Day>,
}

/// A calendar as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Hours that the country's clocks are ahead of UTC.
    utc_offset: i8,
    /// Who says so.
    source: String,
    /// The holidays of the years that are known: days, or `first..last`, both included.
    years: BTreeMap<String, Vec<String>>,
}

/// A file a country. Read once, since prices of many models point to it.
static CHINA: LazyLock<Option<Calendar>> =
    LazyLock::new(|| Calendar::from_toml("china", include_str!("../../calendars/china.toml")).ok());

impl Calendar {
    /// A calendar that comes with this crate; `None` for a name that is unknown here.
    pub fn embedded(name: &str) -> Option<&'static Self> {
        match name {
            "china" => CHINA.as_ref(),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who said which days these are.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The years whose holidays are known.
    pub fn years(&self) -> impl Iterator<Item = i64> {
        self.years.iter().copied()
    }

    fn from_toml(name: &str, text: &str) -> Result<Self, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        let Written { utc_offset, source, years } = written;
        let (name, mut calendar_years, mut days) = (name.to_owned(), BTreeSet::new(), BTreeSet::new());
        for (year, spans) in years {
            let year = year.parse().map_err(|_| format!("`{year}` is no year"))?;
            calendar_years.insert(year);
            days.extend(days_of(year, spans)?);
        }
        Ok(Self { name, source, utc_offset, years: calendar_years, days })
    }

    /// The day that it is there.
    pub(super) fn day(&self, when: SystemTime) -> Day {
        Day::at(when, self.utc_offset)
    }

    pub(super) fn knows(&self, year: i64) -> bool {
        self.years.contains(&year)
    }

    pub(super) fn is_holiday(&self, day: Day) -> bool {
        self.days.contains(&day)
    }
}

/// All days of a list such as `2026-01-01..2026-01-03`, `2026-04-06`.
pub(super) fn days_of(
    year: i64,
    list: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<BTreeSet<Day>, String> {
    let mut days = BTreeSet::new();
    for entry in list {
        let entry = entry.as_ref();
        let (first, last) = entry.split_once("..").unwrap_or((entry, entry));
        let (first, last) = (Day::read(first)?, Day::read(last)?);
        if first > last || first.year() != year || last.year() != year {
            return Err(format!(
                "`{entry}` is no span of days in {year}; write it like {year}-01-01..{year}-01-03"
            ));
        }
        days.extend((first.0..=last.0).map(Day));
    }
    Ok(days)
}

/// Days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(i64);

impl Day {
    pub(super) fn at(when: SystemTime, utc_offset: i8) -> Self {
        let seconds = seconds_since_1970(when) + i64::from(utc_offset) * SECONDS_AN_HOUR;
        Self(seconds.div_euclid(SECONDS_A_DAY.cast_signed()))
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.len() != "2026-11-21".len() {
            return Err(format!("`{text}` is no day; write it like 2026-11-21"));
        }
        Ok(Self::at(text.parse::<Moment>()?.time(), 0))
    }

    pub(super) fn is_weekend(self) -> bool {
        // The first of January 1970 was a Thursday.
        (self.0 + 3).rem_euclid(7) >= 5
    }

    pub(super) fn year(self) -> i64 {
        self.moment().date().split('-').next().and_then(|year| year.parse().ok()).unwrap_or(1970)
    }

    fn moment(self) -> Moment {
        let seconds = self.0.unsigned_abs().saturating_mul(SECONDS_A_DAY);
        Moment::from(UNIX_EPOCH + std::time::Duration::from_secs(seconds))
    }
}

pub(super) fn seconds_since_1970(when: SystemTime) -> i64 {
    when.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::read(text).unwrap()
    }

    #[test]
    fn the_embedded_calendar_has_the_days_of_the_notice() {
        let china = Calendar::embedded("china").unwrap();
        assert_eq!((china.name(), china.days.len()), ("china", 33));
        for (text, is_holiday) in [
            ("2026-01-03", true),
            ("2026-01-04", false),
            ("2026-02-14", false),
            ("2026-02-15", true),
            ("2026-02-23", true),
            ("2026-02-24", false),
            ("2026-09-25", true),
            ("2026-10-07", true),
            ("2026-10-08", false),
        ] {
            assert_eq!(china.is_holiday(day(text)), is_holiday, "{text}");
        }
        assert!(china.knows(2026) && !china.knows(2027));
    }

    #[test]
    fn days_know_their_year_and_whether_it_is_the_weekend() {
        for (text, year, is_weekend) in [
            ("1970-01-01", 1970, false),
            ("2026-08-22", 2026, true),
            ("2026-08-23", 2026, true),
            ("2026-08-24", 2026, false),
            ("2026-12-31", 2026, false),
            ("2028-02-29", 2028, false),
        ] {
            assert_eq!((day(text).year(), day(text).is_weekend()), (year, is_weekend), "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_the_countrys_midnight() {
        let at = |text: &str| Day::at(text.parse::<Moment>().unwrap().time(), 8);
        assert_eq!(at("2026-09-24T15:59:59Z"), day("2026-09-24"));
        assert_eq!(at("2026-09-24T16:00:00Z"), day("2026-09-25"));
    }

    #[test]
    fn a_span_that_is_none_is_refused_with_what_to_write() {
        for span in
            ["2027-01-03..2027-01-01", "2026-12-31..2027-01-01", "2027-01-01..", "2027-1-1", "new year"]
        {
            assert!(days_of(2027, [span]).unwrap_err().contains("write it like"), "{span}");
        }
    }
}
