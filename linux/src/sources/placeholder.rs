//! Numbers that makers put into all boards of a series, so that they identify none.

/// Numbers that are known to be the same on many boards, in lower case.
///
/// The first is what the vendor's boot loader for Rockchip boards falls back to; the second and the third stand in the two Ethernet
/// drivers of Nuvoton's NUC980 (NUC980-linux-4.4.y, issue 8; MA35D1_Buildroot, issue 9). The next is that of each of Huawei's mobile
/// routers on USB (HiLink), then that of USB adapters whose chip is a copy of Davicom's DM9601; both are in the reports of many
/// people. The last ones came with an image or a boot loader: of Qualcomm's QCA953x (aredn/aredn, issue 397), OLIMEX' A64
/// (OLIMEX/olimage, issue 3), the Rock64 (ayufan-rock64/linux-build, issue 80), Sipeed's M4N (sipeed/NanoCluster, issue 11).
const KNOWN: [&str; 11] = [
    "c3d9b8674f4b94f6",
    "080027000192",
    "080027000193",
    "0c5b8f279a64",
    "00e04c534458",
    "00037f1123c6",
    "02ba7bd5c66f",
    "86e0c0eafaa9",
    "86e0c0eafac9",
    "a2a244044455",
    "f63f44ea7221",
];

/// The first two thirds of addresses that the driver of the AIC8800 draws at each start, and passes off as the hardware's
/// (shenmintao/aic8800d80, issue 75; milkv-duo/duo-buildroot-sdk, pull request 111).
const AIC8800_DRAWN: &str = "88003377";

/// The first half of addresses that stand in Broadcom's firmware and in the sample files beside it (`macaddr=00:90:4c:...`).
const BROADCOM_SAMPLE: &str = "00904c";

/// Digits in the order in which a person types them.
const ORDERS: [&str; 7] = [
    "0123456789abcdef0123456789abcdef",
    "1234567890abcdef1234567890abcdef",
    "12345678901234567890123456789012",
    "fedcba9876543210fedcba9876543210",
    "00112233445566778899aabbccddeeff",
    "000102030405060708090a0b0c0d0e0f",
    // LibreRouterOrg/board, issue 20.
    "000203040506",
];

/// Whether a serial number, in letters and digits, or an address, as 12 digits, may be the same on many boards.
pub(crate) fn is_placeholder(number: &str) -> bool {
    let number = number.to_ascii_lowercase();
    let mut digits = number.bytes();
    let first = digits.next();
    let is_address = number.len() == 12;
    digits.all(|digit| Some(digit) == first)
        || !number.bytes().any(|digit| digit.is_ascii_digit())
        || ORDERS.iter().any(|order| order.contains(&number))
        || KNOWN.contains(&number.as_str())
        || is_address && (number.starts_with(BROADCOM_SAMPLE) || number.starts_with(AIC8800_DRAWN))
}

/// Default texts of firmware vendors, in lower case: the maker of a board should have replaced them with its name or serial
/// number, and has not.
const NAMES: [&str; 12] = [
    "default string",
    "n/a",
    "none",
    "not applicable",
    "not specified",
    "o.e.m.",
    "system product name",
    "system version",
    "to be filled by o.e.m.",
    "type1productconfigid",
    "undefined",
    "unknown",
];

/// Whether the name of a board is the firmware vendor's text for "no name".
pub(crate) fn is_placeholder_name(name: &str) -> bool {
    NAMES.contains(&name.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_whole_series_are_told_from_those_of_a_board() {
        for shared in [
            "",
            "00000000",
            "FFFFFFFF",
            "0123456789ABCDEF",
            "123456789",
            "1234567890",
            "9876543210",
            "SerialNumber",
            "c3d9b8674f4b94f6",
            "00904C0DF43E",
            "001122334455",
            "080027000192",
            "0C5B8F279A64",
            "00e04c534458",
            "080027000193",
            "00037f1123c6",
            "000203040506",
            "010203040506",
            "02ba7bd5c66f",
            "880033771fd7",
        ] {
            assert!(is_placeholder(shared), "{shared}");
        }
        for own in ["10000000a1b2c3d4", "00000000a1b2c3d4", "HKC213401234", "1421018022345", "b827eb000005"] {
            assert!(!is_placeholder(own), "{own}");
        }
        assert!(!is_placeholder("00904c0df43e1234"), "no address");
        assert!(!is_placeholder("880033771fd71234"), "nor this");
    }
}
