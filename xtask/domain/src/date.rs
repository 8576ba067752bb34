//! A day of the calendar, as release notes write it: `2025-06-18`.

use std::fmt;
use std::str::FromStr;

use super::shown::excerpt;

/// A day, in the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl FromStr for Date {
    type Err = String;

    /// Reads `YYYY-MM-DD`.
    ///
    /// # Errors
    /// The text has another form, or there is no such day.
    fn from_str(text: &str) -> Result<Date, String> {
        let wrong = || format!("`{}` is not a date: write YYYY-MM-DD, such as 2025-06-18", excerpt(text));
        let parts: Vec<&str> = text.split('-').collect();
        let digits = parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
        let [year, month, day] = parts[..] else { return Err(wrong()) };
        if !digits || [year.len(), month.len(), day.len()] != [4, 2, 2] {
            return Err(wrong());
        }
        let year: u16 = year.parse().map_err(|_| wrong())?;
        let number = |part: &str| part.parse::<u8>().map_err(|_| wrong());
        let (month, day) = (number(month)?, number(day)?);
        if (1..=days_of(year, month)).contains(&day) {
            Ok(Date { year, month, day })
        } else {
            Err(format!("there is no day {text}"))
        }
    }
}

/// Number of days in a month; 0 for a month that does not exist.
fn days_of(year: u16, month: u8) -> u8 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u8::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar_and_nothing_else() {
        for text in ["2025-06-18", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"] {
            assert_eq!(text.parse::<Date>().map(|date| date.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "2025", "2025-6-18", "25-06-18", "2025-06-18T00:00", "+025-06-18", "2025-06-1x", "2025-13-01"]
        {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        for text in ["2025-02-29", "1900-02-29", "2025-04-31", "2025-06-00", "2025-00-10", "2025-06-32"] {
            assert_eq!(text.parse::<Date>(), Err(format!("there is no day {text}")));
        }
    }
}
