//! What a silent connection is blamed on.

use super::*;
use crate::uplink::outcome;

#[test]
fn silence_on_a_slow_link_is_not_blamed_on_the_server() {
    let (limit, address) = (Duration::from_secs(2), SocketAddr::from(([192, 0, 2, 1], 443)));
    let silent = |connect_ms, handshake_ms| {
        let connect_time = Duration::from_millis(connect_ms);
        let handshake_round_trip = Duration::from_millis(handshake_ms);
        let since = Instant::now();
        Facts { address, connect_time, handshake_round_trip, since }.no_answer_within(limit)
    };
    assert!(outcome::verdict(&silent(100, 200)).backs_off());
    assert!(!outcome::verdict(&silent(1_200, 0)).backs_off());
    assert!(!outcome::verdict(&silent(1, 1_200)).backs_off(), "somebody on the way answers for the server");
    assert_eq!(
        silent(100, 0).to_string(),
        "no complete answer in time [IPv4 192.0.2.1:443]: the link's round trip was 100 ms, the timeout is 2000 ms"
    );
}
