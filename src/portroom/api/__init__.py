"""The front desk: one function a use case. This file imports nothing."""
