"""What scripts/bench is made of: build, cases, measure, requirements, report, plot."""
