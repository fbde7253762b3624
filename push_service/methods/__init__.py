"""The verification methods that this service offers: one file each, listed here once."""

from __future__ import annotations

from push_service.methods.app_notification import AppNotification
from push_service.model.method import Methods

OFFERED: Methods = {method.kind: method for method in (AppNotification(),)}
