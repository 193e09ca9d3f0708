//! The date that every response carries.

use std::{
    cell::Cell,
    io::Write,
    time::{Duration, SystemTime},
};

/// `Sun, 06 Nov 1994 08:49:37 GMT`
type Date = [u8; 29];

/// The end of the year 9999, after which HTTP has no dates.
const SECOND_MAX: u64 = 253_402_300_799;

thread_local! {
    /// The second that was written last, and what it looks like: writing it takes longer than everything else in a response.
    static NEWEST: Cell<(u64, Date)> = const { Cell::new((u64::MAX, [0; 29])) };
}

/// This second, as HTTP writes it.
pub(super) fn now() -> Date {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    at(since_epoch.as_secs())
}

fn at(second: u64) -> Date {
    let (newest, date) = NEWEST.get();
    if newest == second {
        return date;
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second.min(SECOND_MAX));
    let mut date = Date::from([b' '; 29]);
    // As long as that always: there is nothing to fail.
    let _ = write!(date.as_mut_slice(), "{}", httpdate::HttpDate::from(time));
    NEWEST.set((second, date));
    date
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_http_wants_it() {
        assert_eq!(&at(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&at(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&at(784_111_778), b"Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(&at(u64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
