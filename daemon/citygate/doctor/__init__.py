"""What keeps this machine from filtering as its policy says: findings with a remedy each."""

from citygate.doctor.finding import Finding, Level
from citygate.doctor.main import doctor, findings

__all__ = ["Finding", "Level", "doctor", "findings"]
