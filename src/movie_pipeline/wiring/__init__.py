"""The only place that names concrete adapters; they are imported late, so that each verb loads only what it needs."""
