//! Responses to requests.

use super::super::effect::Effect;
use super::super::message::Response;
use super::super::model::Model;
use super::notify;
use super::ticks::on_server_clock;

pub(super) fn on_response(model: &mut Model, response: Response) -> Vec<Effect> {
    match response {
        Response::Stats(result) => {
            model.pending.stats = false;
            match result {
                Ok(stats) => {
                    on_server_clock(model, stats.now);
                    (model.stats, model.stats_error) = (Some(stats), None);
                }
                Err(why) => model.stats_error = Some(why),
            }
        }
        Response::RoundTrip(length) => model.round_trip = Some(length),
        Response::Records { now, records } => {
            on_server_clock(model, now);
            model.pending.records = false;
            if let Some(detail) = &mut model.detail {
                let found = records.iter().find(|record| record.user_id == detail.user);
                detail.record = found.cloned().map(Box::new).or_else(|| detail.record.take());
            }
            model.known_users.refresh(records);
        }
        Response::RecordsFailed => model.pending.records = false,
        Response::Explained { user, result } => {
            if let Some(detail) = model.detail.as_mut().filter(|detail| detail.user == user) {
                detail.is_requested = false;
                match result {
                    Ok(explain) => (detail.explain, detail.error) = (Some(explain), None),
                    Err(why) => detail.error = Some(why),
                }
            }
        }
        Response::Done(text) => {
            if let Some(detail) = &mut model.detail {
                detail.is_outdated = true;
            }
            notify(model, text, false);
        }
        Response::Failed(text) => notify(model, text, true),
    }
    Vec::new()
}
