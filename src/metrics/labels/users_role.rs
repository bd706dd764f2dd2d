//! Labels of the Users role.

use super::Label;

label! {
    /// What has become of requests for phones.
    RequestEvent "event" {
        Asked "asked" "A code was had from Devices.",
        Used "used" "A phone has used the code; its order is kept.",
        Again "again" "Devices has told of a code whose order is kept already.",
        Foreign "foreign" "Devices has told of a code that nobody has asked for here.",
        Expired "expired" "The time of the code is over, and no phone has used it.",
        Cancelled "cancelled" "Taken back.",
    }
}

label! {
    /// What has come of an attempt to carry out an order.
    OrderEvent "outcome" {
        Done "done" "The backend has the entry.",
        Again "again" "Not now; it is tried again.",
        Refused "refused" "The backend will not have it; it waits for an operator.",
        GivenUp "given_up" "It has waited for too long; it waits for an operator.",
    }
}
