//! What machines are called: this one, and others that ssh goes to.

/// The name that this machine has for itself.
pub fn own() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether ssh may be told to go there: a name or an address, and nothing that it could take for an option.
pub fn is_ssh_host(host: &str) -> bool {
    let fits = |character: char| character.is_ascii_alphanumeric() || "-._:%".contains(character);
    let begins_well = host.starts_with(|first: char| first.is_ascii_alphanumeric()) || host.starts_with("::");
    begins_well && host.len() <= 255 && host.chars().all(fits)
}

/// Whether a name or an address (without brackets) leads to the machine itself, whoever follows it.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_address = |address: std::net::IpAddr| address.is_loopback() || address.is_unspecified();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(is_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_goes_to_names_and_addresses_and_takes_none_for_an_option() {
        assert!(is_ssh_host(&own()));
        for host in ["vm", "10.0.0.1", "2001:db8::1", "::1", "fe80::1%eth0"] {
            assert!(is_ssh_host(host), "{host}");
        }
        for host in ["", "-v", "-oProxyCommand=x", "a b", "a/b", "ä", "a@b", ".a", ":", "vm;reboot"] {
            assert!(!is_ssh_host(host), "{host}");
        }
    }

    #[test]
    fn loopback_has_many_names() {
        for host in ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.8.9.1", "::1", "0.0.0.0", "::"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["vm", "10.0.0.1", "localhost.example", "2001:db8::1", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
