//! Addresses to listen on, bound before anything is served, so that a wrong one is an error at the start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

/// Why an address can not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It is no address, or its host has none.
    #[error("{address:?} is not an address to listen on; write host:port, as in 127.0.0.1:9000 or [::1]:9000")]
    Address {
        /// The address as typed.
        address: String,
        /// What the resolver said.
        #[source]
        source: std::io::Error,
    },
    /// Something else listens there, or it is not this machine's.
    #[error("can not listen on {address}; is it running already? --web.listen-address chooses another one")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

/// Listens on every address that `addresses` name.
pub async fn bind(addresses: &[String]) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let resolved = tokio::net::lookup_host(address)
            .await
            .map_err(|source| ListenError::Address { address: address.clone(), source })?;
        for resolved in resolved {
            let bound = TcpListener::bind(resolved).await;
            listeners.push(bound.map_err(|source| ListenError::Bind { address: resolved, source })?);
        }
    }
    Ok(listeners)
}

/// Logs where is listened, and warns where others can reach that and are asked for nothing. Gives the first address.
pub fn announce(listeners: &[TcpListener], is_guarded: bool) -> std::io::Result<Option<SocketAddr>> {
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    for address in &addresses {
        tracing::info!(%address, "Listening.");
        if !is_guarded && is_reachable_from_outside(address) {
            tracing::warn!(%address, "Others can reach this address, and there is no authentication.");
        }
    }
    Ok(addresses.first().copied())
}

/// Where what listens at an address is reached from this machine: who listens on all addresses, on the one that is always
/// there.
pub fn as_reached_from_here(listened_on: SocketAddr) -> SocketAddr {
    let host = match listened_on.ip() {
        IpAddr::V4(host) if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(host) if host.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        host => host,
    };
    SocketAddr::new(host, listened_on.port())
}

/// Whether others than this machine's own programs can reach the address.
fn is_reachable_from_outside(address: &SocketAddr) -> bool {
    !address.ip().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn several_addresses_are_bound_and_a_taken_one_is_named() {
        let listeners = bind(&["127.0.0.1:0".to_owned(), "localhost:0".to_owned()]).await.unwrap();
        assert!(listeners.len() >= 2);
        let taken = listeners[0].local_addr().unwrap();
        let error = bind(&[taken.to_string()]).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("can not listen on {taken};")), "{error}");
        for wrong in ["", "10119", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999"] {
            assert!(matches!(bind(&[wrong.to_owned()]).await, Err(ListenError::Address { .. })), "{wrong}");
        }
    }

    #[test]
    fn all_addresses_are_this_machine() {
        for (listened_on, asked) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            assert_eq!(as_reached_from_here(listened_on.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
