"""The door that stays open: samples on a timer, and answers by HTTP."""
