//! The folder an instance lives in.

use super::put;
use crate::exporter::expose::family::{Family, gauge};
use crate::exporter::snapshot::Reading;

pub(super) static FAMILIES: &[Family] = &[
    gauge("hermes_home_bytes", &[], "The sum of the sizes of all files in the home; measured anew every ten minutes")
        .instance(|snapshot, sink| {
            if let Reading::Known(home) = &snapshot.home {
                put(sink, &[], &home.bytes);
            }
        }),
    gauge("hermes_home_filesystem_avail_bytes", &[], "Space left for the home's owner on its filesystem").instance(
        |snapshot, sink| {
            if let Reading::Known(home) = &snapshot.home {
                put(sink, &[], &home.filesystem_available_bytes);
            }
        },
    ),
    gauge("hermes_home_filesystem_size_bytes", &[], "Size of the home's filesystem").instance(|snapshot, sink| {
        if let Reading::Known(home) = &snapshot.home {
            put(sink, &[], &home.filesystem_size_bytes);
        }
    }),
];
