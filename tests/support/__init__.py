"""What several tests share: policies, engines, rollouts and runs small enough for a second."""
