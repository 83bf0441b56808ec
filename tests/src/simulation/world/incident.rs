//! Incidents: how each kind begins and ends.

use std::time::Duration;

use imds_emulator::config::{Config, HttpTokens, Invalid};

use super::client::Client;
use super::{Broken, World};
use crate::simulation::schedule::{Incident, Kind};
use crate::simulation::server::Server;

/// The interval at which an incident that lasts until it acts checks whether it has acted.
const BETWEEN_CHECKS: Duration = Duration::from_secs(600);

/// Runs an incident from its beginning to its end.
pub(super) async fn happen(
    world: &World,
    clients: &[Client],
    incident: &Incident,
) -> Result<(), Broken> {
    world.timeline.sleep_until(incident.begins).await;
    if let Some(delay) = incident.amid {
        let of = match incident.kind {
            Kind::WallClock { client, .. }
            | Kind::Suspend { client }
            | Kind::ClientRestart { client } => u16::try_from(client).ok(),
            _ => None,
        };
        world.server.request(of).await;
        world.timeline.sleep(delay).await;
    }
    world.note(format_args!("{incident}"));
    world.notes.borrow_mut().counts.incidents += 1;
    if matches!(incident.kind, Kind::WallClock { .. } | Kind::Suspend { .. }) {
        // The clock moves twice: away and back.
        world.jumps.set(world.jumps.get() + 2);
    }
    world.incident_begins();
    begin(world, clients, incident)?;
    if incident.lasts.is_zero() {
        // A call that is in progress may fail because of it.
        world.incident_ends();
        return Ok(());
    }
    world.timeline.sleep(incident.lasts).await;
    while incident.until_it_acts && !world.has_acted(incident) {
        world.timeline.sleep(BETWEEN_CHECKS).await;
    }
    world.note(format_args!("{:>4}  ends", incident.number));
    end(world, clients, incident)?;
    world.incident_ends();
    Ok(())
}

fn begin(world: &World, clients: &[Client], incident: &Incident) -> Result<(), Broken> {
    let server = &world.server;
    match &incident.kind {
        Kind::Fault(rule) => server.break_with(rule.as_ref().clone())?,
        Kind::Restart { .. } => server.stop(),
        Kind::RoleChange { to } => {
            server.change(|imds, now| {
                let mut config = imds.config().clone();
                if let Some(iam) = &mut config.instance.iam {
                    iam.role = Some(to.clone());
                }
                imds.changed(config, now)
            })?;
            server.forget_documents();
        }
        Kind::Rotation => {
            server.change(|imds, now| Ok::<_, Invalid>(imds.with_credentials_rotated(now)))?;
            server.forget_documents();
        }
        Kind::Revocation => server.revoke_tokens(),
        Kind::Tokens { required } => tokens(server, *required)?,
        Kind::WallClock { client, by } => {
            if let Some(client) = clients.get(*client) {
                client.machine.shift(*by);
            }
        }
        Kind::Suspend { client } => {
            if let Some(client) = clients.get(*client) {
                client.machine.suspend(incident.lasts);
            }
        }
        Kind::ClientRestart { client } => {
            if let Some(client) = clients.get(*client) {
                client.restart(world)?;
            }
        }
    }
    Ok(())
}

fn end(world: &World, clients: &[Client], incident: &Incident) -> Result<(), Broken> {
    let server = &world.server;
    match &incident.kind {
        Kind::Fault(rule) => server.heal(&rule.name),
        Kind::Restart { same_seed } => server.start(*same_seed)?,
        Kind::Tokens { required } => tokens(server, !required)?,
        Kind::WallClock { client, by } => {
            if let Some(client) = clients.get(*client) {
                client.machine.shift(-by);
            }
        }
        _ => {}
    }
    Ok(())
}

fn tokens(server: &Server, required: bool) -> Result<(), Invalid> {
    server.change(|imds, now| {
        let mut config: Config = imds.config().clone();
        config.metadata_options.http_tokens = match required {
            true => HttpTokens::Required,
            false => HttpTokens::Optional,
        };
        imds.changed(config, now)
    })
}
