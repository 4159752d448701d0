"""Audit: every security event is a row, written in the transaction that caused it."""

from propusk.events import Event, UserDeleted
from propusk.feature import Feature
from propusk.features.audit.record import forget_addresses, record_event
from propusk.registry import Subscriber


def feature() -> Feature:
    """The audit trail."""
    # In this order, so that the deletion's own row is among those that lose their address.
    subscribers = (Subscriber(Event, record_event), Subscriber(UserDeleted, forget_addresses))
    return Feature(name="audit", subscribers=subscribers)
