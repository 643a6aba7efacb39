//! What all pages have.

use maud::{DOCTYPE, Markup, html};

use super::guard::Visitor;
use crate::{alerts::kind::Kind, app::App, engine::read, fleet::Device, presence::Presence, time::UnixMs};

/// A page of the fleet. `stream`: the query string of its stream of changes.
pub(super) fn page(
    app: &App,
    visitor: &Visitor,
    here: &str,
    title: &str,
    stream: &str,
    content: &Markup,
) -> Markup {
    let links = [(".", "Fleet"), ("problems", "Problems"), ("map", "Map")];
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body data-stream=(stream) {
                a.skip href="#content" { "To the content" }
                header {
                    a.brand href="." { (pulse()) "Heartbeat" }
                    nav aria-label="Pages" {
                        @for (address, name) in links {
                            a href=(address) aria-current=[(address == here).then_some("page")] { (name) }
                        }
                    }
                    span #live.live role="status" { noscript { "Reload to update" } }
                    @if let Visitor::LoggedIn(login) = visitor {
                        form method="post" action="logout" {
                            input type="hidden" name="form" value=(app.forms.for_login(login));
                            button.plain { "Log out" }
                        }
                    }
                }
                (trouble(app))
                main #content tabindex="-1" { (content) }
                script src="live.js" defer {}
            }
        }
    }
}

/// A page without anything of the fleet on it.
pub(super) fn bare(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body.bare { main { h1 { (pulse()) (title) } (content) } }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · Heartbeat" }
            link rel="icon" href="icon.svg" type="image/svg+xml";
            link rel="stylesheet" href="style.css";
        }
    }
}

fn pulse() -> Markup {
    html! {
        svg.pulse viewBox="0 0 32 20" aria-hidden="true" { path d="M1 11h7l3-7 5 14 4-10 2 3h9"; }
    }
}

/// What is wrong with the server itself.
pub(super) fn trouble(app: &App) -> Markup {
    let now = app.clock.now().up;
    let trouble = read(&app.fleet).not_storing(now).map(str::to_owned);
    html! {
        div #trouble {
            @if let Some(trouble) = trouble {
                p.trouble role="alert" { "Nothing is being stored: " (trouble) }
            }
        }
    }
}

/// The state of a device: a shape and a word, so that colour is not needed.
pub(super) fn state(presence: Presence) -> Markup {
    html! { span.state.(presence.word()) { (presence.word()) } }
}

/// A time, which a script turns into an age.
pub(super) fn time(at: Option<UnixMs>) -> Markup {
    html! {
        @match at {
            Some(at) => time datetime=(at.rfc3339()) data-at=(at.0) title={ (at.readable()) " UTC" } { (at.readable()) " UTC" },
            None => span.none { "never" },
        }
    }
}

/// Since when something lasts; a script turns it into how long.
pub(super) fn lasting(since: UnixMs) -> Markup {
    html! { time data-since=(since.0) title={ (since.readable()) " UTC" } { "since " (since.readable()) " UTC" } }
}

/// What is wrong with a device, as labels.
pub(super) fn alerts(device: &Device) -> Markup {
    html! {
        @for (kind, since) in &device.alerts {
            @if *kind != Kind::Offline {
                span.alert title={ "since " (since.readable()) " UTC" } { (kind.label()) } " "
            }
        }
    }
}

/// What a device is doing, as labels. Of one that is offline nobody knows it.
pub(super) fn activities(device: &Device) -> Markup {
    if device.presence == Presence::Offline {
        return html! {};
    }
    let reading = &device.reading;
    let activities =
        [("streaming", reading.streaming), ("tracking", reading.tracking), ("recording", reading.recording)];
    html! { @for (word, active) in activities { @if active { span.activity { (word) } " " } } }
}

/// The address of the page of a device.
pub(super) fn address(hardware_id: &str) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    format!("device?id={}", utf8_percent_encode(hardware_id, NON_ALPHANUMERIC))
}
