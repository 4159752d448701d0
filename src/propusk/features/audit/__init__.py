"""Audit: every security event is a row, written in the transaction that caused it."""

from propusk.events import Event
from propusk.feature import Feature
from propusk.features.audit.record import record_event
from propusk.registry import Subscriber


def feature() -> Feature:
    """The audit trail."""
    return Feature(name="audit", subscribers=(Subscriber(Event, record_event),))
