//! Components, put together.

use std::error::Error;

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug};

/// Gives `socket` for its imports what `provider` exports, as `wac plug` does.
pub(crate) fn compose(socket: Vec<u8>, provider: Vec<u8>) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut graph = CompositionGraph::new();
    let provider = Package::from_bytes("ec2-role", None, provider, graph.types_mut())?;
    let provider = graph.register_package(provider)?;
    let socket = Package::from_bytes("consumer", None, socket, graph.types_mut())?;
    let socket = graph.register_package(socket)?;
    plug(&mut graph, vec![provider], socket)?;
    Ok(graph.encode(EncodeOptions::default())?)
}
