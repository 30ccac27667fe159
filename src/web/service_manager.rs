//! What systemd is told of a service of `Type=notify`: that it serves, loads its configuration again, ends. Nothing
//! where `NOTIFY_SOCKET` does not say to whom.

use sd_notify::NotifyState;

/// It serves, at these addresses.
pub(super) fn ready(addresses: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("Serving at {addresses}."))]);
}

/// It was told to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("Finishing what is under way.")]);
}

/// It loads its configuration again. Whoever is told so waits for [`reloaded`].
pub fn reloading() {
    // Systemd tells by the time which request to reload is meant.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// It has loaded its configuration again, or goes on with the former one.
pub fn reloaded(is_loaded: bool) {
    let status =
        if is_loaded { "Serving." } else { "Serving with the former configuration: the new one was not loaded." };
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::warn!(%error, "The service manager could not be told how things stand.");
    }
}
