use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize, Serializer};

pub(crate) const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// A moment in a profile: a day (`2026-11-21`), which stands for its beginning in UTC, or a second
/// (`2026-09-10T04:00:00Z`).
///
/// ```
/// use modelswitch_openai::Moment;
///
/// let switched_off: Moment = "2026-07-24T15:59:00Z".parse()?;
/// assert_eq!(switched_off.date(), "2026-07-24");
/// assert!("2026-07-24".parse::<Moment>()? < switched_off);
/// assert!("24 July".parse::<Moment>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Moment(SystemTime);

impl Moment {
    /// The moment on the system's clock.
    pub fn time(self) -> SystemTime {
        self.0
    }

    /// The day in UTC, such as `2026-11-21`.
    pub fn date(self) -> String {
        self.seconds().chars().take("2026-11-21".len()).collect()
    }

    fn seconds(self) -> String {
        humantime::format_rfc3339_seconds(self.0).to_string()
    }
}

impl FromStr for Moment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let whole =
            if text.len() == "2026-11-21".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
        humantime::parse_rfc3339(&whole).map(Self).map_err(|_| {
            format!("`{text}` is no moment; write it like 2026-11-21, or like 2026-11-21T04:00:00Z")
        })
    }
}

impl TryFrom<String> for Moment {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        // humantime can't write what is before 1970 or after 9999.
        let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        Self(time.clamp(UNIX_EPOCH, last))
    }
}

/// A day where it is the beginning of one, else the second.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds();
        f.write_str(seconds.strip_suffix("T00:00:00Z").unwrap_or(&seconds))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_it_was_read() {
        for text in ["2026-11-21", "2026-09-10T04:00:00Z", "1970-01-01", "9999-12-31T23:59:59Z"] {
            assert_eq!(text.parse::<Moment>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_what_to_write() {
        for text in ["", "2026-13-01", "2026-02-30", "2026-1-1", "yesterday", "2026-11-21 04:00", "éééééé"]
        {
            assert!(text.parse::<Moment>().unwrap_err().contains("write it like"), "{text}");
        }
    }

    #[test]
    fn a_clock_out_of_range_does_no_harm() {
        assert_eq!(Moment::from(UNIX_EPOCH - Duration::from_secs(1)).to_string(), "1970-01-01");
    }
}
