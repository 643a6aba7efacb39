//! How often deltas were not understood over a connection. A server that was restarted behind a proxy does not understand one;
//! several servers that take turns behind a proxy do not understand many, and then full documents are cheaper.

/// What a delta that is not understood counts, and how much is too much. One that is taken counts one less.
const NOT_UNDERSTOOD: u8 = 3;
const TOO_MUCH: u8 = 9;

/// The strikes of the latest connection.
#[derive(Debug, Default)]
pub(super) struct Strikes {
    connection: u64,
    count: u8,
}

impl Strikes {
    /// Whether deltas are worth their bytes over this connection.
    pub(super) fn allow(&self, connection: u64) -> bool {
        self.connection != connection || self.count < TOO_MUCH
    }

    /// A delta was taken over this connection.
    pub(super) fn taken(&mut self, connection: u64) {
        self.count_over(connection);
        self.count = self.count.saturating_sub(1);
    }

    /// A delta was not understood over this connection.
    pub(super) fn not_understood(&mut self, connection: u64) {
        self.count_over(connection);
        self.count = self.count.saturating_add(NOT_UNDERSTOOD);
    }

    fn count_over(&mut self, connection: u64) {
        if self.connection != connection {
            *self = Self { connection, count: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these are not understood until no more are sent; `true` is a delta that is taken.
    fn given_up_after(turns: impl Iterator<Item = bool>) -> Option<usize> {
        let mut strikes = Strikes::default();
        for (index, is_taken) in turns.take(10_000).enumerate() {
            if !strikes.allow(1) {
                return Some(index);
            }
            if is_taken { strikes.taken(1) } else { strikes.not_understood(1) }
        }
        None
    }

    #[test]
    fn servers_that_take_turns_are_given_up_and_a_restart_is_not() {
        assert_eq!(given_up_after([false].into_iter().cycle()), Some(3));
        assert_eq!(given_up_after([false, true].into_iter().cycle()), Some(7));
        // One restart a minute.
        let restarts = [false, true, true, true, true, true, true, true, true, true, true];
        assert_eq!(given_up_after(restarts.into_iter().cycle()), None);
    }

    #[test]
    fn a_new_connection_begins_anew() {
        let mut strikes = Strikes::default();
        (0..9).for_each(|_| strikes.not_understood(1));
        assert!(!strikes.allow(1) && strikes.allow(2));
        strikes.not_understood(2);
        assert!(strikes.allow(2));
    }
}
