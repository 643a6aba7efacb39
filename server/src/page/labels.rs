//! Name, group and tags of a device: the form, and what it changes.

use std::sync::Arc;

use axum::{
    Extension, Form,
    extract::{Query as QueryString, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Which, failure, guard::Visitor, layout};
use crate::{
    app::App,
    engine::read,
    fleet::Device,
    limits::{LABEL_MAX, TAGS_MAX},
    store::Labels,
};

/// The form, with what is set.
pub(super) fn form(app: &App, visitor: &Visitor, device: &Device) -> Markup {
    let form = app.forms.for_login(visitor.login());
    let labels = &device.labels;
    html! {
        form.labels method="post" action=(layout::address(&device.hardware_id)) {
            input type="hidden" name="form" value=(form);
            label { "Name" input name="name" maxlength=(LABEL_MAX) value=[labels.name.as_deref()]; }
            label { "Group" input name="group" maxlength=(LABEL_MAX) value=[labels.group.as_deref()]; }
            label { "Tags, separated by spaces" input name="tags" maxlength="512" value=(labels.tags.join(" ")); }
            div.buttons {
                button name="action" value="save" { "Save" }
                @if labels.removed {
                    button.plain name="action" value="restore" { "Restore the device" }
                } @else {
                    button.plain name="action" value="remove" title="Hide it and refuse its heartbeats; its history stays" { "Remove the device" }
                }
            }
        }
    }
}

/// What the form of the labels holds.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    form: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    tags: String,
    action: String,
}

/// Takes the form.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    QueryString(which): QueryString<Which>,
    Form(change): Form<Change>,
) -> Response {
    if !app.forms.is_right(visitor.login(), &change.form) {
        return failure(
            StatusCode::FORBIDDEN,
            "Refused",
            "This form is too old. Go back and load the page again.",
        );
    }
    let Some(device) = read(&app.fleet).find(&which.id).cloned() else {
        return failure(
            StatusCode::NOT_FOUND,
            "No such device",
            "No heartbeat with this hardware id has come.",
        );
    };
    let labels = match change.labels(&device.labels) {
        Ok(labels) => labels,
        Err(why) => return failure(StatusCode::UNPROCESSABLE_ENTITY, "Not saved", &why),
    };
    let hardware_id = device.hardware_id.to_string();
    if app.admin(move |admin| admin.set_labels(&hardware_id, &labels)).await.is_err() {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "Not saved", "The database is not available.");
    }
    app.reload().await;
    let to = if change.action == "remove" { ".".to_owned() } else { layout::address(&device.hardware_id) };
    Redirect::to(&to).into_response()
}

impl Change {
    fn labels(&self, before: &Labels) -> std::result::Result<Labels, String> {
        match self.action.as_str() {
            "remove" => Ok(Labels { removed: true, ..before.clone() }),
            "restore" => Ok(Labels { removed: false, ..before.clone() }),
            _ => checked(&self.name, &self.group, &self.tags, before.removed),
        }
    }
}

/// Labels from what a person has typed.
///
/// # Errors
/// One of them is too long, or there are too many tags.
pub(crate) fn checked(
    name: &str,
    group: &str,
    tags: &str,
    removed: bool,
) -> std::result::Result<Labels, String> {
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let labels = Labels {
        name: given(name),
        group: given(group),
        tags: tags.split_whitespace().map(|tag| tag.trim_start_matches('#').to_owned()).collect(),
        removed,
    };
    let texts = [&labels.name, &labels.group].into_iter().flatten().chain(&labels.tags);
    if texts.into_iter().any(|text| text.len() > LABEL_MAX || text.chars().any(char::is_control)) {
        return Err(format!("Names, groups and tags have {LABEL_MAX} bytes at most."));
    }
    if labels.tags.len() > TAGS_MAX {
        return Err(format!("A device has {TAGS_MAX} tags at most."));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_trimmed_and_bounded() {
        let labels = checked(" shed ", "", "#roof  cam", false).unwrap();
        assert_eq!(labels.name.as_deref(), Some("shed"));
        assert_eq!(labels.group, None);
        assert_eq!(labels.tags, ["roof", "cam"]);
        assert!(checked(&"x".repeat(65), "", "", false).is_err());
        assert!(checked("", "", &"t ".repeat(17), false).is_err());
        assert!(checked("a\nb", "", "", false).is_err());
    }
}
