//! Peer: the `libseccomp` crate, receiving and responding in a loop. The listener is descriptor 3.

use libseccomp::{ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags};

const LISTENER: i32 = 3;

fn main() {
    while let Ok(request) = ScmpNotifReq::receive(LISTENER) {
        let response = ScmpNotifResp::new_val(request.id, 1, ScmpNotifRespFlags::empty());
        let _ = response.respond(LISTENER);
    }
}
