"""Statistics of spike trains, the NEST baseline, and the criteria that judge a run."""
