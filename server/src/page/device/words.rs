//! Words of the document for people.

/// A key of the document for people; one that this server does not know as it is.
pub(super) fn named(key: &str) -> &str {
    match key {
        "cpu" => "Processor",
        "mem" => "Memory",
        "temp" => "Temperature",
        "power" => "Power",
        "fan_rpm" => "Fan",
        "disk" => "Disk",
        "connection.default_interface" => "Default route",
        "connection.ethernet" => "Ethernet",
        "connection.wifi" => "WiFi",
        "connection.4g" => "Mobile connection",
        "connection.gps" => "Position",
        "app_version" => "Version of the application",
        "streaming_active" => "Streaming",
        "tracking_active" => "Tracking",
        "recording_active" => "Recording",
        "recording_file_size_mb" => "Size of the recording",
        "uptime_s" => "Time since the boot",
        "diagnostics.throttled" => "Throttling",
        "diagnostics.cpu_mhz" => "Processor frequency",
        "diagnostics.ups" => "Battery",
        "diagnostics.load" => "Load",
        "diagnostics.swap" => "Swap space",
        "diagnostics.root_read_only" => "Root filesystem",
        "diagnostics.clock_synchronized" => "Synchronization of the clock",
        "board.model" => "Model of the board",
        "board.os" => "System and kernel",
        "board.wear" => "Wear of the storage",
        other => other,
    }
}

/// The word of `diagnostics.unread` for people; one that this server does not know as it is.
pub(super) fn reason(word: &str) -> &str {
    match word {
        "denied" => "the agent has no permission",
        "failed" => "reading failed",
        "invalid" => "not a valid reading",
        "silent" => "no answer in time",
        other => other,
    }
}
