//! Components, put together.

use std::error::Error;

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug};

/// Gives `socket` for its imports what `other` exports, as `wac plug` does.
pub(crate) fn compose(socket: Vec<u8>, other: Vec<u8>) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut graph = CompositionGraph::new();
    let other = Package::from_bytes("plug", None, other, graph.types_mut())?;
    let other = graph.register_package(other)?;
    let socket = Package::from_bytes("socket", None, socket, graph.types_mut())?;
    let socket = graph.register_package(socket)?;
    plug(&mut graph, vec![other], socket)?;
    Ok(graph.encode(EncodeOptions::default())?)
}
