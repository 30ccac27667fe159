//! The style, the script and the icons of the pages, each under an address that changes with its content, so that a
//! browser keeps it for ever and never has an old one.

use super::mark::Mark;

/// A file that pages load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// Its name in the address.
    pub name: &'static str,
    /// What it is.
    pub content_type: &'static str,
    /// What is in it.
    pub content: &'static str,
    version: u32,
}

pub(super) const STYLE: Asset = Asset::new("style.css", "text/css; charset=utf-8", include_str!("assets/style.css"));
pub(super) const SCRIPT: Asset =
    Asset::new("page.js", "text/javascript; charset=utf-8", include_str!("assets/page.js"));

const fn svg(name: &'static str, content: &'static str) -> Asset {
    Asset::new(name, "image/svg+xml", content)
}

const ICON_CRITICAL: Asset = svg("critical.svg", include_str!("assets/critical.svg"));
const ICON_WARNING: Asset = svg("warning.svg", include_str!("assets/warning.svg"));
const ICON_UNKNOWN: Asset = svg("unknown.svg", include_str!("assets/unknown.svg"));
const ICON_INFO: Asset = svg("info.svg", include_str!("assets/info.svg"));
const ICON_HEALTHY: Asset = svg("healthy.svg", include_str!("assets/healthy.svg"));

const ALL: [Asset; 7] = [STYLE, SCRIPT, ICON_CRITICAL, ICON_WARNING, ICON_UNKNOWN, ICON_INFO, ICON_HEALTHY];

/// The icon of a tab.
pub(super) fn icon(mark: Mark) -> Asset {
    match mark {
        Mark::Critical => ICON_CRITICAL,
        Mark::Warning => ICON_WARNING,
        Mark::Unknown => ICON_UNKNOWN,
        Mark::Info => ICON_INFO,
        Mark::Healthy => ICON_HEALTHY,
    }
}

/// The file of a name.
pub fn named(name: &str) -> Option<Asset> {
    ALL.into_iter().find(|asset| asset.name == name)
}

impl Asset {
    const fn new(name: &'static str, content_type: &'static str, content: &'static str) -> Asset {
        Asset { name, content_type, content, version: fingerprint(content.as_bytes()) }
    }

    /// Where it is served, with its version.
    pub fn address(&self) -> String {
        format!("/-/assets/{}?v={}", self.name, self.version())
    }

    /// What the address carries while its content is this.
    pub fn version(&self) -> String {
        format!("{:08x}", self.version)
    }
}

/// FNV-1a: enough to tell two versions of a file apart.
const fn fingerprint(content: &[u8]) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    let mut rest = content;
    while let [first, others @ ..] = rest {
        hash = (hash ^ *first as u32).wrapping_mul(0x0100_0193);
        rest = others;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_is_found_under_its_name_and_has_a_version_of_its_own() {
        let mut versions: Vec<_> = ALL.into_iter().map(|asset| asset.version()).collect();
        for asset in ALL {
            assert_eq!(named(asset.name), Some(asset));
            assert!(asset.address().ends_with(&format!("{}?v={}", asset.name, asset.version())));
        }
        versions.sort();
        versions.dedup();
        assert_eq!(versions.len(), ALL.len());
        assert_eq!(named("../secrets"), None);
        assert_eq!(fingerprint(b"foobar"), 0xbf9c_f968);
    }

    /// The policy forbids it all the same; this says so before a browser does.
    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for asset in [STYLE, SCRIPT] {
            assert!(!asset.content.contains("//") || !asset.content.contains("http"), "{}", asset.name);
            assert!(!asset.content.contains("@import") && !asset.content.contains("innerHTML"), "{}", asset.name);
        }
    }
}
