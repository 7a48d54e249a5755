//! Hours, days and months of the calendar.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A span of the calendar that begins and ends for everybody at the same moment, not when somebody first called.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use modelswitch_layers::Period;
///
/// let noon = UNIX_EPOCH + Duration::from_secs(12 * 3600);
/// assert_eq!(Period::Day.window(noon, 0).name, "1970-01-01");
/// assert_eq!(Period::Month.window(noon, 0).name, "1970-01");
/// // Thirteen hours east of Greenwich it is one o'clock of the next day.
/// assert_eq!(Period::Hour.window(noon, 13 * 60).name, "1970-01-02T01");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Period {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the first to the last of a month.
    Month,
}

/// One hour, day or month.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// What it is called: `2026-11-25T03`, `2026-11-25`, `2026-11`.
    pub name: String,
    /// The first moment after it.
    pub end: SystemTime,
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

impl Period {
    /// The one that a moment is in, where clocks are so many minutes ahead of UTC.
    pub fn window(self, when: SystemTime, utc_offset_minutes: i16) -> Window {
        let ahead = i64::from(utc_offset_minutes) * 60;
        let local = seconds_since_1970(when).saturating_add(ahead);
        let (year, month, day) = civil(local.div_euclid(DAY));
        let (name, end) = match self {
            Self::Hour => {
                let hour = local.rem_euclid(DAY) / HOUR;
                (format!("{year:04}-{month:02}-{day:02}T{hour:02}"), (local.div_euclid(HOUR) + 1) * HOUR)
            }
            Self::Day => (format!("{year:04}-{month:02}-{day:02}"), (local.div_euclid(DAY) + 1) * DAY),
            Self::Month => (format!("{year:04}-{month:02}"), next_month(local.div_euclid(DAY)) * DAY),
        };
        Window { name, end: at(end.saturating_sub(ahead)) }
    }
}

/// As in "5 USD a day".
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        })
    }
}

/// The moment as RFC 3339 has it, in UTC and to the second.
pub(crate) fn shown(when: SystemTime) -> String {
    let seconds = seconds_since_1970(when);
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let (hour, minute, second) =
        (seconds.rem_euclid(DAY) / HOUR, seconds.rem_euclid(HOUR) / 60, seconds.rem_euclid(60));
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `+08:00`; empty for UTC.
pub(crate) fn shown_offset(minutes: i16) -> String {
    let (sign, minutes) = (if minutes < 0 { '-' } else { '+' }, minutes.unsigned_abs());
    if minutes == 0 { String::new() } else { format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60) }
}

fn seconds_since_1970(when: SystemTime) -> i64 {
    when.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX / 2))
}

fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
        .unwrap_or(UNIX_EPOCH)
}

/// The first day of the month after that of a day, both since 1970.
fn next_month(day: i64) -> i64 {
    let (_, month, _) = civil(day);
    (1..=31).map(|further| day + further).find(|next| civil(*next).1 != month).unwrap_or(day + 31)
}

/// Year, month and day of the day so many days after 1970-01-01, in the Gregorian calendar. Years are counted from March, so
/// that the leap day is the last of one.
fn civil(days: i64) -> (i64, i64, i64) {
    let since_march_of_0 = days + 719_468;
    let (era, day_of_era) = (since_march_of_0.div_euclid(146_097), since_march_of_0.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_the_dates_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_764_042_120, "2025-11-25T03:42:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(shown(at(seconds)), date);
        }
    }

    #[test]
    fn a_window_ends_where_the_next_one_begins() {
        for period in [Period::Hour, Period::Day, Period::Month] {
            for offset in [0, 8 * 60, -330] {
                let mut moment = at(1_700_000_000);
                for _ in 0..40 {
                    let window = period.window(moment, offset);
                    let last = window.end - Duration::from_secs(1);
                    assert_eq!(period.window(last, offset), window);
                    assert_ne!(period.window(window.end, offset).name, window.name);
                    moment = window.end;
                }
            }
        }
    }

    #[test]
    fn an_offset_is_told_as_clocks_are() {
        let told = [0, 480, -210, 5].map(shown_offset);
        assert_eq!(told, ["", "+08:00", "-03:30", "+00:05"]);
    }

    #[test]
    fn a_day_begins_at_its_own_midnight() {
        let evening = at(1_764_086_400); // 2025-11-25T16:00:00Z
        let window = Period::Day.window(evening, 8 * 60);
        assert_eq!(
            (window.name.as_str(), shown(window.end).as_str()),
            ("2025-11-26", "2025-11-26T16:00:00Z")
        );
        assert_eq!(shown(Period::Month.window(evening, 0).end), "2025-12-01T00:00:00Z");
    }
}
