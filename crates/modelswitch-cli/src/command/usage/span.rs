//! From when to when: days, moments and times as they are written on the command line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use modelswitch_layers::Period;

use crate::error::Failure;

const DAY: Duration = Duration::from_secs(86_400);

/// A day, or a moment.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    /// Its midnight in UTC.
    Day(SystemTime),
    Moment(SystemTime),
}

impl When {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let day = humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).map(Self::Day);
        day.or_else(|_| humantime::parse_rfc3339(text).map(Self::Moment)).map_err(|_| {
            "write a day, such as 2026-11-01, or a moment of UTC, such as 2026-11-01T08:00:00Z".to_owned()
        })
    }

    fn first(self, offset: Offset) -> SystemTime {
        match self {
            Self::Day(midnight) => offset.to_utc(midnight),
            Self::Moment(moment) => moment,
        }
    }

    fn end(self, offset: Offset) -> SystemTime {
        match self {
            Self::Day(midnight) => offset.to_utc(midnight + DAY),
            Self::Moment(moment) => moment,
        }
    }
}

/// How far back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Last {
    /// So many days of the calendar, of which today is the last.
    Days(u32),
    Time(Duration),
}

impl Last {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = text.strip_suffix(unit).and_then(|number| number.parse::<u32>().ok());
        let days = match unit.trim() {
            "d" | "day" | "days" => number,
            "w" | "week" | "weeks" => number.and_then(|weeks| weeks.checked_mul(7)),
            _ => None,
        };
        let time = || humantime::parse_duration(text).ok().filter(|time| !time.is_zero());
        match days {
            Some(1..) => days.map(Self::Days),
            _ => time().map(Self::Time),
        }
        .ok_or_else(|| "write a time above 0 with its unit, such as 7d, 2w or 12h".to_owned())
    }

    fn first(self, offset: Offset, now: SystemTime) -> SystemTime {
        let (from, back) = match self {
            Self::Days(days) => (Period::Day.window(now, offset.minutes()).end, DAY * days),
            Self::Time(time) => (now, time),
        };
        from.checked_sub(back).unwrap_or(UNIX_EPOCH)
    }
}

/// How far the clocks are ahead of UTC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offset(i16);

impl Offset {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let (is_behind, time) = match text.strip_prefix('-') {
            Some(time) => (true, time),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (hours, minutes) = time.split_once(':').unwrap_or((time, "0"));
        let number =
            |text: &str, most: i16| text.parse::<i16>().ok().filter(|number| (0..=most).contains(number));
        let minutes = number(hours, 14).zip(number(minutes, 59)).map(|(hours, minutes)| hours * 60 + minutes);
        minutes
            .map(|minutes| Self(if is_behind { -minutes } else { minutes }))
            .ok_or_else(|| "write hours, such as 8, +05:30 or -3".to_owned())
    }

    pub(super) fn minutes(self) -> i16 {
        self.0
    }

    /// The moment at which clocks there show what UTC's show at this one.
    fn to_utc(self, shown: SystemTime) -> SystemTime {
        let by = Duration::from_secs(u64::from(self.0.unsigned_abs()) * 60);
        if self.0 < 0 { shown + by } else { shown.checked_sub(by).unwrap_or(UNIX_EPOCH) }
    }
}

/// `UTC`, `UTC+08:00`
impl std::fmt::Display for Offset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sign, minutes) = (if self.0 < 0 { '-' } else { '+' }, self.0.unsigned_abs());
        match minutes {
            0 => f.write_str("UTC"),
            minutes => write!(f, "UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        }
    }
}

/// The span of time that is looked at: from the first moment to that before the second one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) since: Option<SystemTime>,
    pub(super) until: Option<SystemTime>,
}

impl Span {
    pub(super) fn new(
        since: Option<When>,
        until: Option<When>,
        last: Option<Last>,
        offset: Offset,
        now: SystemTime,
    ) -> Result<Self, Failure> {
        let since = since.map(|when| when.first(offset)).or_else(|| last.map(|last| last.first(offset, now)));
        let until = until.map(|when| when.end(offset));
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(Failure::usage(
                "--until is before --since, so there is nothing between them",
                "give the earlier one to --since",
            ));
        }
        // Of late means up to now, whatever else is written down.
        Ok(Self {
            since,
            until: until.or_else(|| last.map(|_| Period::Day.window(now, offset.minutes()).end)),
        })
    }

    /// The days that it has, each by its name; those of the calls where it has no beginning or no end.
    pub(super) fn days(self, offset: Offset, called: &[&str]) -> Vec<String> {
        const MOST: usize = 36_600;
        let midnight = |day: &&str| When::read(day).ok().map(|day| day.first(offset));
        let first = self.since.or_else(|| called.first().and_then(midnight));
        let end = self.until.or_else(|| Some(called.last().and_then(midnight)? + DAY));
        let (Some(mut moment), Some(end)) = (first, end) else { return Vec::new() };
        let mut days = Vec::new();
        while moment < end && days.len() < MOST {
            let day = Period::Day.window(moment, offset.minutes());
            days.push(day.name);
            moment = day.end;
        }
        days
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(moment: Option<SystemTime>) -> String {
        moment.map_or_else(|| "-".to_owned(), |moment| humantime::format_rfc3339_seconds(moment).to_string())
    }

    #[track_caller]
    fn check(since: &str, until: &str, last: &str, offset: &str, expected: (&str, &str)) {
        let when = |text: &str| (!text.is_empty()).then(|| When::read(text).unwrap());
        let last = (!last.is_empty()).then(|| Last::read(last).unwrap());
        let now = humantime::parse_rfc3339("2026-11-25T20:30:00Z").unwrap();
        let span = Span::new(when(since), when(until), last, Offset::read(offset).unwrap(), now).unwrap();
        assert_eq!((shown(span.since).as_str(), shown(span.until).as_str()), expected);
    }

    #[test]
    fn a_day_is_whole_at_both_ends_and_begins_where_its_clocks_say() {
        check("", "", "", "0", ("-", "-"));
        check("2026-11-01", "2026-11-30", "", "0", ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"));
        check("2026-11-01", "2026-11-01", "", "+8", ("2026-10-31T16:00:00Z", "2026-11-01T16:00:00Z"));
        check("2026-11-01", "", "", "-3:30", ("2026-11-01T03:30:00Z", "-"));
        check("2026-11-01T08:00:00Z", "", "", "8", ("2026-11-01T08:00:00Z", "-"));
    }

    #[test]
    fn the_last_days_end_with_today_and_the_last_hours_now() {
        check("", "", "1d", "0", ("2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"));
        check("", "", "1w", "0", ("2026-11-19T00:00:00Z", "2026-11-26T00:00:00Z"));
        // In Beijing it is half past four of the next day.
        check("", "", "2d", "8", ("2026-11-24T16:00:00Z", "2026-11-26T16:00:00Z"));
        check("", "", "12h", "0", ("2026-11-25T08:30:00Z", "2026-11-26T00:00:00Z"));
    }

    #[test]
    fn what_is_no_time_is_refused_with_one_that_is() {
        for text in ["", "yesterday", "2026-13-01", "2026-02-30", "25.11.2026", "2026-11-1", "é026-11-01é"]
        {
            assert!(When::read(text).is_err_and(|error| error.contains("2026-11-01")), "{text}");
        }
        for text in ["", "7", "0d", "0h", "-7d", "week", "é"] {
            assert!(Last::read(text).is_err_and(|error| error.contains("7d")), "{text}");
        }
        for text in ["", "east", "15", "8:60", "--8", "é"] {
            assert!(Offset::read(text).is_err_and(|error| error.contains("+05:30")), "{text}");
        }
    }

    #[test]
    fn days_without_a_call_are_days_too() {
        let offset = Offset::read("0").unwrap();
        let days = Span::default().days(offset, &["2026-11-29", "2026-12-02"]);
        assert_eq!(days, ["2026-11-29", "2026-11-30", "2026-12-01", "2026-12-02"]);
        assert!(Span::default().days(offset, &[]).is_empty());
    }
}
